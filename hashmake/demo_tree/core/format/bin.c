#include <calc/format.h>
#include <calc/lib.h>

void format_bin(number n, char *out)
{
	*out++ = '0';
	*out++ = 'b';
	digits((unsigned long)n, 2, out);
}
