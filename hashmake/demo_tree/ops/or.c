#include <calc/ops.h>

number op_or(number a, number b)
{
	return a | b;
}
