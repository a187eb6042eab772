#!/bin/bash
# Runs the jobs, one after the other; what they print goes to the console between two marks.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
export BULKHEAD_BIN=/bulkhead/bin/bulkhead BULKHEAD_TEST_HOME=/var/lib/bulkhead-tests RUST_BACKTRACE=0
mkdir -p "$BULKHEAD_TEST_HOME"
if [ -e /bulkhead/debian.tar ]; then
    "$BULKHEAD_BIN" --root "$BULKHEAD_TEST_HOME/root" --run-root "$BULKHEAD_TEST_HOME/run" load -q -i /bulkhead/debian.tar \
        || echo "@@trouble the Debian image cannot be loaded"
fi
job() {
    local name=$1 must=$2 program=$3
    shift 3
    echo "@@begin $name"
    BULKHEAD_MUST_RUN=$must timeout -k 10 900 "/bulkhead/bin/$program" --color never "$@" 2>&1
    echo "@@end $name $?"
}
