#include <calc/lib.h>

void reverse(char *text)
{
	char *end = text;

	while (*end)
		end++;
	while (end - text > 1) {
		char c = *text;

		*text++ = *--end;
		*end = c;
	}
}
