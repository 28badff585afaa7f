#include <calc/lib.h>

int is_number(const char *text)
{
	if (*text == '-')
		text++;
	return *text >= '0' && *text <= '9';
}
