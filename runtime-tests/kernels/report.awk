# Reads what a guest has told of its tests, and writes a line for each: kernel, user, backend, binary, test, outcome, detail,
# with tabs between. What each binary has printed goes to the file `logs`/USER-BACKEND/BINARY.
#
# Variables: kernel, logs, and expected: how many times a binary is to run.
BEGIN { FS = "\t"; OFS = "\t" }

function outcome(test, result, detail) {
    print kernel, user, backend, binary, test, result, detail
    counted[result]++
}

# end STATUS: of a binary, that all that it ran is told.
function end(status,    test, failed) {
    for (test in results) {
        if (results[test] == "passed" && test in reasons) {
            outcome(test, "skipped", reasons[test])
        } else {
            outcome(test, results[test], details[test])
        }
        failed += results[test] == "failed"
    }
    if (status != "0" && (status != "101" || !failed)) { # 101 is what failed tests make of it.
        outcome("(all)", "failed", status == "lost" ? "the guest ended meanwhile" \
            : status == 143 || status == 137 ? "did not end in time: " file : "ended with status " status ": " file)
    } else if (length(results) != total) {
        outcome("(all)", "failed", total - length(results) " tests told nothing: " file)
    }
    close(file)
    ended++
    binary = ""
}

{ sub(/\r$/, "") }
/^@@ run / { split($0, words, " "); user = words[3]; backend = words[4]; next }
/^@@ begin / {
    binary = substr($0, 10)
    file = logs "/" user "-" backend "/" binary
    printf "" >file
    total = 0
    split("", results); split("", reasons); split("", details)
    next
}
/^@@ end / {
    split($0, words, "[ =]")
    print kernel, user, backend, binary, "(all)", "took", words[7]
    end(words[5])
    next
}
/^@@ done/ { done = 1; next }
binary == "" { next }
{ print >file }
# Only the first: what children have printed is told where their test has failed.
/^running [0-9]+ tests?$/ && !total { split($0, words, " "); total = words[2]; next }
/^test .* \.\.\. / {
    at = index($0, " ... ")
    name = substr($0, 6, at - 6)
    sub(/ - should panic$/, "", name)
    result = substr($0, at + 5)
    if (result ~ /^ok/) results[name] = "passed"
    else if (result ~ /^FAILED/) { results[name] = "failed"; details[name] = file }
    else if (result ~ /^ignored/) { results[name] = "skipped"; details[name] = result }
    next
}
# What `skipped` of runtime-tests writes.
/^! skipped: / {
    text = substr($0, 12)
    at = index(text, ": ")
    reasons[substr(text, 1, at - 1)] = substr(text, at + 2)
}
END {
    if (binary != "") end("lost")
    if (ended != expected || !done) {
        user = backend = binary = "-"
        outcome("(guest)", "failed", "ended after " ended + 0 " of " expected " binaries")
    }
}
