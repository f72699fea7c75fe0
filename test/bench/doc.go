// Package bench measures a server as its users run it, on a real control plane,
// beside a yardstick in the same run. Nothing here passes or fails by a time:
// the figures are ratios for people, and for benchstat, to compare.
package bench
