#!/bin/sh
# What the feed's checks run in an image with the package: test.sh PACKAGE VERSION.
case "$1" in
switchboard)
	switchboard --version | grep -F "${2%-r*}" && /usr/libexec/switchboard-cgi --version | grep -F "${2%-r*}" &&
		switchboard check
	;;
esac
