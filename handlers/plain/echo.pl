#!/usr/bin/env perl
# Perl at the full level. data -> data; {"fail": message} -> an error
use strict;
use warnings;
use JSON::PP;

my $json = JSON::PP->new->utf8->allow_bignum;    # a plain number of Perl would lose digits
$| = 1;                                          # flush every line

sub tell_supervisor { print $json->encode({ sandq => 1, @_ }), "\n" }

tell_supervisor(type => 'hello', version => 1, caps => [qw(progress log ping)]);
while (my $line = <STDIN>) {
    my $message = $json->decode($line);
    my ($type, $id, $data) = @$message{qw(type id data)};

    if ($type eq 'job') {
        tell_supervisor(type => 'progress', id => $id, value => 0.5);
        tell_supervisor(type => 'log', id => $id, message => "attempt $message->{attempt}");
        my @answer = ref $data eq 'HASH' && exists $data->{fail}
            ? (status => 'error', error => { type => 'Asked', message => $data->{fail} })
            : (status => 'ok', result => $data);
        tell_supervisor(type => 'result', id => $id, @answer);
    } elsif ($type eq 'ping') {
        tell_supervisor(type => 'pong', n => $message->{n});
    } elsif ($message->{must}) {
        tell_supervisor(type => 'fatal', error => "no idea what $type means");
    }
}
