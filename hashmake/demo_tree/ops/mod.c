#include <calc/ops.h>

number op_mod(number a, number b)
{
	return b ? a % b : a;
}
