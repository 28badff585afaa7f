#include <calc/ops.h>

number op_min(number a, number b)
{
	return a < b ? a : b;
}
