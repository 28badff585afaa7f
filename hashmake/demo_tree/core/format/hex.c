#include <calc/format.h>
#include <calc/lib.h>

void format_hex(number n, char *out)
{
	*out++ = '0';
	*out++ = 'x';
	digits((unsigned long)n, 16, out);
}
