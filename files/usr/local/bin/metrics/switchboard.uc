// The exchange's part of AREDN's /metrics.
import * as fs from "fs";

const metrics = fs.popen("/usr/libexec/switchboard-cgi metrics");
if (metrics) {
	print(metrics.read("all") ?? "");
	metrics.close();
}
