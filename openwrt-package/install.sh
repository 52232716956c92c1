#!/bin/sh
# Puts what lands on a router into a directory: install.sh ROOT PROGRAMS, where PROGRAMS holds the built `switchboard` and
# `switchboard-cgi`. The feed's Makefile and `make package` both use it.
set -eu

root=$1
programs=$2
source=$(dirname "$0")/..

mkdir -p "$root"
cp -RP "$source/files/." "$root"
# Git keeps of a mode whether a file may be executed; the rest is that of whoever checked it out.
find "$root" -type d -exec chmod 755 {} +
find "$root" -type f -perm -100 -exec chmod 755 {} +
find "$root" -type f ! -perm -100 -exec chmod 644 {} +

mkdir -p "$root/usr/sbin"
cp "$programs/switchboard" "$root/usr/sbin/switchboard"
cp "$programs/switchboard-cgi" "$root/usr/libexec/switchboard-cgi"
chmod 755 "$root/usr/sbin" "$root/usr/sbin/switchboard" "$root/usr/libexec/switchboard-cgi"

# One program under all its names.
while read -r name; do
	ln -s ../../usr/libexec/switchboard-cgi "$root/www/cgi-bin/$name"
done <"$source/cgi/names"
