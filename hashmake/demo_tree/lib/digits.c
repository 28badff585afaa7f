#include <calc/lib.h>

void digits(unsigned long n, unsigned base, char *out)
{
	char *at = out;

	do {
		*at++ = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	*at = 0;
	reverse(out);
}
