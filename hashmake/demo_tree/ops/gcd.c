#include <calc/ops.h>

number op_gcd(number a, number b)
{
	while (b) {
		number rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}
