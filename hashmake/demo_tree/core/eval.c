#include <calc/ops.h>
#include <stddef.h>
#include "eval.h"

/* Returns the word that could not be evaluated, or NULL. */
const char *evaluate(int count, char **words, struct stack *s)
{
	for (int i = 0; i < count; i++) {
		number a, b;
		const struct op *op;

		if (classify(words[i], &a) == NUMBER) {
			if (!push(s, a))
				return words[i];
			continue;
		}
		op = find_op(words[i]);
		if (!op || !pop(s, &b) || !pop(s, &a) || !push(s, op->run(a, b)))
			return words[i];
	}
	return NULL;
}
