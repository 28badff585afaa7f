#include <calc/ops.h>

number op_fact(number a, number b)
{
	number result = b;

	while (a > 1)
		result *= a--;
	return result;
}
