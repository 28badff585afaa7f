# Turns .config into include/config/auto.conf (for make) and include/generated/autoconf.h (for C), and touches
# include/config/OPTION for every option whose value is another one than last time.
set -eu
mkdir -p include/config include/generated
conf=include/config/auto.conf
sed -n '/^CONFIG_[A-Z0-9_]*=/p' .config > $conf.tmp
if [ -e $conf ]; then
	sort $conf $conf.tmp | uniq -u | sed 's/^CONFIG_//; s/=.*//' | sort -u | while read -r option; do
		touch "include/config/$option"
	done
fi
sed 's/^\(CONFIG_[A-Z0-9_]*\)=y$/#define \1 1/; s/^\(CONFIG_[A-Z0-9_]*\)=\(.*\)$/#define \1 \2/' $conf.tmp \
	> include/generated/autoconf.h.tmp
mv -f include/generated/autoconf.h.tmp include/generated/autoconf.h
mv -f $conf.tmp $conf
