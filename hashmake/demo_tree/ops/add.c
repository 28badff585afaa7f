#include <calc/ops.h>

number op_add(number a, number b)
{
	return a + b;
}
