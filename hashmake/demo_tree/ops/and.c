#include <calc/ops.h>

number op_and(number a, number b)
{
	return a & b;
}
