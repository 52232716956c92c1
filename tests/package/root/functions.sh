# Stands in for OpenWrt's /lib/functions.sh: as much of it as our package needs, done as OpenWrt does it.

pkg_list() {
	pkgname=${pkgname:-$(basename "${1%.*}")}
	list=/usr/lib/opkg/info/$pkgname.list
	[ ! -f "/lib/apk/packages/$pkgname.list" ] || list=/lib/apk/packages/$pkgname.list
}

# uci-defaults, then the package's own script (opkg; apk has it behind the call of this), then the service.
default_postinst() {
	pkg_list "$@"
	[ ! -f "/usr/lib/opkg/info/$pkgname.control" ] || add_group_and_user
	for script in $(grep '^/etc/uci-defaults/' "$list"); do
		( [ -f "$script" ] && cd /etc/uci-defaults && . "$script" ) && rm -f "$script"
	done
	[ ! -f "/usr/lib/opkg/info/$pkgname.postinst-pkg" ] || ( . "/usr/lib/opkg/info/$pkgname.postinst-pkg" )
	for script in $(grep '^/etc/init.d/' "$list"); do
		[ "$PKG_UPGRADE" = 1 ] || "$script" enable
		"$script" start
	done
}

default_prerm() {
	pkg_list "$@"
	[ ! -f "/usr/lib/opkg/info/$pkgname.prerm-pkg" ] || ( . "/usr/lib/opkg/info/$pkgname.prerm-pkg" )
	for script in $(grep '^/etc/init.d/' "$list"); do
		[ "$PKG_UPGRADE" = 1 ] || "$script" disable
		"$script" stop
	done
}

add_group_and_user() {
	pkg_list "$@"
	users=$(sed -n 's/^Require-User: *//p' "/usr/lib/opkg/info/$pkgname.control" 2>/dev/null)
	[ ! -f "/lib/apk/packages/$pkgname.rusers" ] || users=$(cat "/lib/apk/packages/$pkgname.rusers")
	for user in $users; do
		grep -q "^${user%%:*}:" /etc/passwd || echo "${user%%:*}:x:32768:32768::/var/run:/bin/false" >>/etc/passwd
		grep -q "^${user##*:}:" /etc/group || echo "${user##*:}:x:32768:" >>/etc/group
	done
}

config_load() {
	config=/etc/config/$1
}

# For each named section of that type.
config_foreach() {
	for section in $(sed -n "s/^config $2 '\(.*\)'/\1/p" "$config"); do
		"$1" "$section"
	done
}

config_get() {
	value=$(awk -v name="'$2'" -v option="$3" '$1 == "config" { ours = $3 == name } ours && $1 == "option" && $2 == option { gsub("'\''", "", $3); print $3 }' "$config")
	eval "$1=\${value:-$4}"
}

config_get_bool() {
	value=$(awk -v name="'$2'" -v option="$3" '$1 == "config" { ours = $3 == name } ours && $1 == "option" && $2 == option { print $3 }' "$config")
	case "$value" in
	*1* | *on* | *true* | *yes* | *enabled*) eval "$1=1" ;;
	*0* | *off* | *false* | *no* | *disabled*) eval "$1=0" ;;
	*) eval "$1=$4" ;;
	esac
}
