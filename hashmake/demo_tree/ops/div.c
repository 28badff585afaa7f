#include <calc/ops.h>

number op_div(number a, number b)
{
	return b ? a / b : 0;
}
