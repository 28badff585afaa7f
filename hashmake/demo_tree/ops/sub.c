#include <calc/ops.h>

number op_sub(number a, number b)
{
	return a - b;
}
