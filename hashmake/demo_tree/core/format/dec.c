#include <calc/format.h>
#include <calc/lib.h>

void format_dec(number n, char *out)
{
	if (n < 0)
		*out++ = '-';
	digits(n < 0 ? -(unsigned long)n : (unsigned long)n, 10, out);
}
