#include <calc/lib.h>
#include <calc/ops.h>
#include <stddef.h>

static const struct op ops[] = {
	{ "+", op_add },   { "-", op_sub },   { "x", op_mul },   { "/", op_div }, { "%", op_mod },
	{ "min", op_min }, { "max", op_max }, { "and", op_and }, { "or", op_or },
#ifdef CONFIG_OP_GCD
	{ "gcd", op_gcd },
#endif
#ifdef CONFIG_OP_POW
	{ "pow", op_pow },
#endif
#ifdef CONFIG_OP_FACT
	{ "fact", op_fact },
#endif
};

const struct op *find_op(const char *name)
{
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
		if (same(ops[i].name, name))
			return &ops[i];
	return NULL;
}
