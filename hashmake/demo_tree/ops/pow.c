#include <calc/ops.h>

number op_pow(number a, number b)
{
	number result = 1;

	while (b-- > 0)
		result *= a;
	return result;
}
