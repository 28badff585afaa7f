#include <stdio.h>
#include "eval.h"

int complain(const char *what, const char *word)
{
	fprintf(stderr, "calc: %s '%s'\n", what, word);
	return 1;
}
