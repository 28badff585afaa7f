#include <calc/ops.h>

number op_mul(number a, number b)
{
	return a * b;
}
