#ifndef CALC_FORMAT_H
#define CALC_FORMAT_H
#include <calc/number.h>

void format_dec(number n, char *out);
void format_hex(number n, char *out);
void format_bin(number n, char *out);
void format(number n, char base, char *out);
#endif
