#include <calc/format.h>
#include <generated/version.h>
#include <stdio.h>
#include "eval.h"

/* calc [-x|-b] WORD...: a reverse Polish calculator. */
int main(int argc, char **argv)
{
	struct stack s = { .depth = 0 };
	char base = 'd', text[80];
	const char *bad;
	number result;

	if (argc > 1 && argv[1][0] == '-' && argv[1][1] && !argv[1][2]) {
		base = argv[1][1];
		argc--, argv++;
	}
	if (argc < 2) {
		printf("calc %s\n", CALC_VERSION);
		return 0;
	}
	bad = evaluate(argc - 1, argv + 1, &s);
	if (bad)
		return complain("cannot evaluate", bad);
	if (!pop(&s, &result))
		return complain("nothing left after", argv[argc - 1]);
	format(result, base, text);
	puts(text);
	return 0;
}
