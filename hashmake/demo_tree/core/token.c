#include <calc/lib.h>
#include <stdlib.h>
#include "eval.h"

enum word classify(const char *text, number *value)
{
	if (!is_number(text))
		return OPERATOR;
	*value = strtol(text, NULL, 0);
	return NUMBER;
}
