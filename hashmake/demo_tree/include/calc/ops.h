#ifndef CALC_OPS_H
#define CALC_OPS_H
#include <calc/number.h>

typedef number binary(number a, number b);

struct op {
	const char *name;
	binary *run;
};

binary op_add, op_sub, op_mul, op_div, op_mod, op_min, op_max, op_gcd, op_pow, op_fact, op_and, op_or;
const struct op *find_op(const char *name);
#endif
