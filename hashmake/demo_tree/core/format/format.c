#include <calc/format.h>

void format(number n, char base, char *out)
{
#ifdef CONFIG_FORMAT_HEX
	if (base == 'x') {
		format_hex(n, out);
		return;
	}
#endif
#ifdef CONFIG_FORMAT_BIN
	if (base == 'b') {
		format_bin(n, out);
		return;
	}
#endif
	format_dec(n, out);
}
