# Sums up what `report.awk` has written: a row for each kernel, user and backend; then what was skipped, and what failed.
{
    key = $1 FS $2 FS $3
    if ($6 == "took") {
        seconds[key] += $7
        next
    }
    # What has befallen a whole guest belongs to none of its rows.
    if ($2 != "-" && !(key in rows)) {
        rows[key] = ++row
        keys[row] = key
    }
    count[key, $6]++
    if ($6 == "skipped") {
        reason = $4 "::" $5 ": " $7
        if (!(reason in skipped)) reasons[++reasonCount] = reason
        if (index(skipped[reason] ",", " " $1 ",") == 0) skipped[reason] = skipped[reason] (skipped[reason] ? ", " : " ") $1
    }
    if ($6 == "failed") failures[++failed] = $1 ", " $2 ", " $3 ": " $4 "::" $5 ($7 ? ": " $7 : "")
}
END {
    printf "%-28s %-5s %-9s %7s %8s %7s %8s\n", "kernel", "user", "backend", "passed", "skipped", "failed", "seconds"
    for (i = 1; i <= row; i++) {
        split(keys[i], part, FS)
        key = keys[i]
        printf "%-28s %-5s %-9s %7d %8d %7d %8d\n", part[1], part[2], part[3], count[key, "passed"], count[key, "skipped"], \
            count[key, "failed"], seconds[key]
    }
    if (reasonCount) print "\nSkipped:"
    for (i = 1; i <= reasonCount; i++) print "  " reasons[i] " (" substr(skipped[reasons[i]], 2) ")"
    if (failed) print "\nFailed:"
    for (i = 1; i <= failed; i++) print "  " failures[i]
}
