#ifndef CALC_LIB_H
#define CALC_LIB_H
int same(const char *a, const char *b);
int is_number(const char *text);
void reverse(char *text);
void digits(unsigned long n, unsigned base, char *out);
#endif
