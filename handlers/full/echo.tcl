#!/usr/bin/env tclsh
# The echo contract at the full level, in Tcl 8.6 alone.
#
# Everything is handled as bytes: what is echoed is the very text that came in, so that no number,
# escape or space of it can change. JSON is only cut into its members, never rebuilt.

# ---- JSON: raw texts ---------------------------------------------------------------------------

proc skipWs {s i} {
    while {[string index $s $i] in {" " "\t" "\r" "\n"}} {incr i}
    return $i
}

proc stringEnd {s i} {
    if {![regexp -indices -start $i {"[^"\\]*(?:\\.[^"\\]*)*"} $s m] || [lindex $m 0] != $i} {
        error "a string without an end"
    }
    return [expr {[lindex $m 1] + 1}]
}

# the index after the value that begins at i; no recursion, so any depth will do
proc valueEnd {s i} {
    set c [string index $s $i]
    if {$c eq "\""} {return [stringEnd $s $i]}
    if {$c ne "\{" && $c ne "\["} {
        if {![regexp -indices -start $i {[-+.0-9A-Za-z]+} $s m] || [lindex $m 0] != $i} {
            error "no value"
        }
        return [expr {[lindex $m 1] + 1}]
    }
    set depth 0
    while {[regexp -indices -start $i {["\[\]{}]} $s m]} {
        set i [lindex $m 0]
        switch -- [string index $s $i] {
            "\"" {set i [stringEnd $s $i]; continue}
            "\{" - "\[" {incr depth}
            default {incr depth -1}
        }
        incr i
        if {$depth == 0} {return $i}
    }
    error "a value without an end"
}

# the members of an object: name (decoded) -> raw text
proc members {s} {
    set i [skipWs $s 0]
    if {[string index $s $i] ne "\{"} {error "no object"}
    set all [dict create]
    set i [skipWs $s [incr i]]
    if {[string index $s $i] eq "\}"} {return $all}
    while 1 {
        if {[string index $s $i] ne "\""} {error "no member"}
        set end [stringEnd $s $i]
        set key [decode [string range $s $i $end-1]]
        set i [skipWs $s $end]
        if {[string index $s $i] ne ":"} {error "no colon"}
        set i [skipWs $s [incr i]]
        set end [valueEnd $s $i]
        dict set all $key [string range $s $i $end-1]
        set i [skipWs $s $end]
        switch -- [string index $s $i] {
            "," {set i [skipWs $s [incr i]]}
            "\}" {break}
            default {error "no comma"}
        }
    }
    if {[skipWs $s [incr i]] != [string length $s]} {error "more than one text"}
    return $all
}

proc utf8 {n} {
    if {$n < 0x80} {return [format %c $n]}
    if {$n < 0x800} {return [format %c%c [expr {0xC0|$n>>6}] [expr {0x80|$n&63}]]}
    if {$n < 0x10000} {
        return [format %c%c%c [expr {0xE0|$n>>12}] [expr {0x80|$n>>6&63}] [expr {0x80|$n&63}]]
    }
    return [format %c%c%c%c [expr {0xF0|$n>>18}] [expr {0x80|$n>>12&63}] \
        [expr {0x80|$n>>6&63}] [expr {0x80|$n&63}]]
}

# a raw string -> its bytes in UTF-8
proc decode {raw} {
    set s [string range $raw 1 end-1]
    if {[string first \\ $s] < 0} {return $s}
    set out ""
    set i 0
    while {[set j [string first \\ $s $i]] >= 0} {
        append out [string range $s $i $j-1]
        set c [string index $s $j+1]
        set i [expr {$j + 2}]
        switch -- $c {
            b {append out \b} f {append out \f} n {append out \n} r {append out \r} t {append out \t}
            u {
                scan [string range $s $i $i+3] %4x n
                incr i 4
                if {$n >= 0xD800 && $n < 0xDC00 && [scan [string range $s $i $i+5] {\u%4x} low] == 1} {
                    set n [expr {0x10000 + (($n - 0xD800) << 10) + ($low - 0xDC00)}]
                    incr i 6
                }
                append out [utf8 $n]
            }
            default {append out $c}
        }
    }
    return [append out [string range $s $i end]]
}

# why a raw text cannot be sent, or ""; sandq sends no such thing
proc unfit {s} {
    set i 0
    set depth 0
    while {[regexp -indices -start $i {["\[\]{}]} $s m]} {
        set i [lindex $m 0]
        switch -- [string index $s $i] {
            "\"" {set i [stringEnd $s $i]; continue}
            "\{" - "\[" {if {[incr depth] > 64} {return "nested deeper than 64"}}
            default {incr depth -1}
        }
        incr i
    }
    if {[regexp -nocase {\\ud[89a-f]} $s]} {
        regsub -all {\\\\} $s {..} s
        regsub -all -nocase {\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}} $s {..} s
        if {[regexp -nocase {\\ud[89a-f]} $s]} {return "half a surrogate pair"}
    }
    return ""
}

proc isString {raw} {expr {[string index $raw 0] eq "\""}}
proc isObject {raw} {expr {[string index $raw 0] eq "\{"}}

# the member as a string, or "" when it is no string
proc text {all key} {
    if {![dict exists $all $key]} {return ""}
    set raw [dict get $all $key]
    if {![isString $raw]} {return ""}
    return [decode $raw]
}

proc raw {all key default} {
    if {[dict exists $all $key]} {return [dict get $all $key]}
    return $default
}

# ---- saying ------------------------------------------------------------------------------------

proc put {line} {
    if {[catch {puts -nonewline $::out "$line\n"; flush $::out}]} {exit 1}
}

proc say {type args} {
    set line "\{\"sandq\":1,\"type\":\"$type\""
    foreach {key value} $args {append line ",\"$key\":$value"}
    put "$line\}"
}

proc fatal {message} {
    if {!$::toFile} {say fatal error "\"$message\""}
    exit 1
}

# the answer to the job at work; members are `result RAW` or `error RAW`
proc answer {kind raw} {
    set status [expr {$kind eq "result" ? "ok" : "error"}]
    if {$::toFile} {
        put "\{\"status\":\"$status\",\"$kind\":$raw\}"
    } else {
        if {[string length $raw] + [string length $::job] + 64 > $::maxLine} {
            set status error
            set kind error
            set raw {{"type":"TooLong","message":"the answer is longer than a line may be"}}
        }
        say result id $::job status "\"$status\"" $kind $raw
    }
    set ::state idle
    set ::job ""
    set ::re ""
    if {$::oneShot} {exit 0}
}

# ---- jobs --------------------------------------------------------------------------------------

proc work {data} {
    if {[set why [unfit $data]] ne ""} {
        answer error "\{\"type\":\"Unfit\",\"message\":\"the data cannot be sent back: $why\"\}"
        return
    }
    set want [dict create]
    if {[isObject $data]} {set want [members $data]}
    if {[isString [raw $want fail null]]} {
        answer error "\{\"type\":\"Failed\",\"message\":[dict get $want fail]\}"
        return
    }
    switch -- [text $want sandq_test] {
        progress {
            if {!$::toFile} {say progress id $::job value 0.5}
        }
        log {
            if {!$::toFile} {
                say log id $::job level {"info"} message {"echo"} fields {{"from":"echo.tcl"}}
            }
        }
        emit {
            if {!$::toFile} {say emit id $::job chunk {"a part"}}
        }
        heartbeat {
            if {!$::toFile} {say heartbeat id $::job}
        }
        wait_for_cancel {
            if {!$::oneShot} {
                set ::state waiting
                return
            }
        }
        call {
            set args_ [raw $want args "{}"]
            if {!$::oneShot && [isString [raw $want verb null]] && [isObject $args_]} {
                set ::state calling
                set ::re [incr ::calls]
                say call id $::job re $::re verb [dict get $want verb] args $args_
                return
            }
        }
        retry_later {
            set ms [raw $want retry_after_ms null]
            if {[regexp {^[0-9]+$} $ms]} {
                answer error "\{\"type\":\"Later\",\"message\":\"not now\",\"retry_after_ms\":$ms\}"
                return
            }
        }
        unrecoverable {
            answer error {{"type":"Unrecoverable","message":"no use in trying again","retryable":false}}
            return
        }
    }
    answer result $data
}

proc hear {line} {
    if {[catch {members $line} m]} {
        puts stderr "not understood: $m: [string range $line 0 199]"
        return
    }
    set version [raw $m sandq null]
    if {![regexp {^-?[0-9]+$} $version]} return
    if {$version != 1} {fatal "a message of another version"}
    set type [text $m type]
    switch -- $type {
        job {
            if {$::state ne "idle"} {fatal "a second job before the answer to the first"}
            set ::job [raw $m id null]
            set ::state busy
            work [raw $m data null]
        }
        cancel {
            if {$::state eq "idle" || [text $m id] ne [decode $::job]} return
            answer error {{"type":"Cancelled","message":"ended on request"}}
        }
        reply {
            if {$::state ne "calling" || [raw $m re null] ne $::re || [text $m id] ne [decode $::job]} return
            if {[raw $m ok false] eq "true"} {
                answer result [raw $m value null]
                return
            }
            set e [raw $m error "{}"]
            set e [expr {[isObject $e] ? [members $e] : [dict create]}]
            answer error "\{\"type\":\"CallFailed\",\"message\":[raw $e message {"the call failed"}],\"code\":[raw $e type {"?"}]\}"
        }
        ping {say pong n [raw $m n 0]}
        welcome {
            set limits [raw $m limits "{}"]
            if {[isObject $limits]} {
                set n [raw [members $limits] line null]
                if {[regexp {^[0-9]+$} $n]} {set ::maxLine $n}
            }
        }
        bye {
            if {$::state eq "idle"} {exit 0}
        }
        default {
            if {[raw $m must false] eq "true"} {fatal "a message that must be understood and is not"}
        }
    }
}

# ---- the life ----------------------------------------------------------------------------------

proc env {name default} {
    if {[info exists ::env($name)] && $::env($name) ne ""} {return $::env($name)}
    return $default
}

set oneShot [info exists ::env(SANDQ_JOB_ID)]
set toFile [expr {[env SANDQ_RESULT_FILE ""] ne ""}]
if {$toFile} {set oneShot 1}
set maxLine [env SANDQ_MAX_LINE 1048576]
set state idle
set job ""
set re ""
set calls 0

if {$toFile} {
    set out [open $env(SANDQ_RESULT_FILE) w]
} elseif {[env SANDQ_FD ""] eq "3"} {
    # Tcl cannot take over a descriptor; it opens the same pipe once more
    set out [open /dev/fd/3 w]
} else {
    set out stdout
}
fconfigure stdin -translation binary
fconfigure $out -translation binary -buffering full
fconfigure stderr -translation binary

if {!$toFile} {
    set caps {"emit","heartbeat","log","progress"}
    if {!$oneShot} {append caps {,"call","cancel","ping","welcome"}}
    say hello version 1 sdk {"tcl-echo"} caps "\[$caps\]"
}
while {[gets stdin line] >= 0} {
    if {$line ne ""} {hear $line}
}
exit 0
