#include <calc/ops.h>

number op_max(number a, number b)
{
	return a > b ? a : b;
}
