# What can be said about the source without running it: columns, tabs and
# spaces, comments, include guards, documented directives, no aborts, which
# room includes which, and how long files and functions are.

use v5.36;

use FindBin;
use Test::More;

chdir "$FindBin::Bin/.." or die "chdir: $!";


# Files that git knows, or would with the next "git add"; all there are where
# there is no git, as in an unpacked archive.

my $list = qx(git ls-files -co --exclude-standard 2>/dev/null)
    || qx(find . -type f -printf '%P\\n');
my @files = grep { -f && !m{^build/|/node_modules/} } split /\n/, $list;

my @c = grep { /\.[ch]$/ } @files;
my @scripts = grep { /\.(?:pl|pm|t|sh|js|mjs)$/ || m{^(?:\.ci/run|config)$} }
    @files;


sub lines ($file) {
    open my $fh, '<:encoding(UTF-8)', $file or die "$file: $!";
    chomp(my @lines = <$fh>);
    return @lines;
}


sub text ($file) { return join "\n", lines($file), '' }


# Each line of each file for which wrong($line) holds is a complaint.

sub none ($what, $files, $wrong) {
    my @bad;
    for my $file (@$files) {
        my $n = 0;
        for my $line (lines($file)) {
            $n++;
            push @bad, "$file:$n: $line" if $wrong->($line);
        }
    }
    ok(!@bad, $what) or diag join "\n", @bad[0 .. ($#bad < 19 ? $#bad : 19)];
}


sub all ($what, $files, $right) {
    my @bad = grep { !$right->($_) } @$files;
    ok(!@bad, $what) or diag join "\n", @bad;
}


none('80 columns', [ @c, @scripts ], sub ($l) { length $l > 80 });
none('no tabs in C', \@c, sub ($l) { $l =~ /\t/ });
none('no trailing white space',
     [ @c, @scripts, 'Makefile', grep { /\.(?:md|conf|html|css)$/ } @files ],
     sub ($l) { $l =~ /[ \t\r]$/ });
none('no // comments', [ grep { m{^(?:ngx_module|worker)/} } @c ],
     sub ($l) { $l =~ m{^\s*//|[;{}]\s*//} });

none('no assert() or abort() in the module',
     [ grep { m{^ngx_module/} } @c ],
     sub ($l) { $l =~ /\b(?:assert|abort|exit|ngx_debug_point)\s*\(/ });

all('a comment at the top of each C file', \@c,
    sub ($f) { text($f) =~ m{^\n?/\*\n \* \S} });

all('an include guard in each header', [ grep { /\.h$/ } @c ], sub ($f) {
    my ($name) = $f =~ m{([^/]+)\.h$};
    my $guard = '_' . uc($name) . '_H_INCLUDED_';
    return text($f) =~ /^#ifndef \Q$guard\E\n#define \Q$guard\E\n/m;
});


# <ngx_config.h> defines what system headers must know, so where nginx comes in
# at all it comes first; else it fails to compile with some versions of nginx.

my %own = map { m{([^/]+)$} => $_ }
    grep { m{^(?:ngx_module|worker)/.*\.h$} } @c;

sub included ($file, $seen = {}) {
    return () if $seen->{$file}++;
    return map {
        my ($system, $name) = /^#include (?:<([^>]+)>|"([^"]+)")/;
        my ($own) = $own{$system // $name // ''};
        $own ? included($own, $seen) : $system // ();
    } lines($file);
}


all('nginx is included before the system',
    [ grep { m{^ngx_module/.*\.c$} } @c ],
    sub ($f) {
        my @all = included($f);
        return !grep({ /^ngx_/ } @all) || $all[0] eq 'ngx_config.h';
    });


# Rooms: the folders of each program, and what a file in each may include
# beside its own room: other rooms, or single files.  A room that is not in
# the table is not checked.

my @below_link = map { "worker/$_" } qw(core journal dispatch);

my ($text, $store, $zone, $delivery, $link, $session, $dialect) =
    map { "ngx_module/$_" } qw(text store zone delivery link session dialect);

# the zone's interface, and what it is made of

my @zone = map { "ngx_module/$_.h" }
    qw(zone/ngx_http_rt_zone store/ngx_http_rt_record store/ngx_http_rt_start);

my %rooms = (
    'worker/core' => [],
    'worker/journal' => [ 'worker/core' ],
    'worker/dispatch' => [ 'worker/core', 'worker/journal' ],
    'worker/link' => [ @below_link ],
    'worker/engine/auction' => [ 'worker/core' ],
    'worker/ctl' => [ @below_link, 'worker/link', 'worker' ],
    'worker' => [ @below_link, 'worker/link', 'worker/engine/auction' ],

    $text => [],
    $store => [ $text ],
    $zone => [ $text, $store ],
    $delivery => [ $text, @zone ],
    $link => [ $text, @zone, 'worker/link/rt_wire.h' ],
    $session => [ $text, @zone, $delivery, $link ],
    $dialect => [ $text, @zone, $delivery, $link, $session ],
    'ngx_module/http' => [ $text, @zone, $delivery, $link, $session,
                           $dialect ],
);

sub room ($file) { return $file =~ s{/[^/]+$}{}r }


# a folder below dialect/ is one dialect, and no other room of its own

sub rules ($room) {
    return [ @{ $rooms{$dialect} }, $dialect ] if $room =~ m{^\Q$dialect\E/};
    return $rooms{$room};
}


sub may_include ($from, $to) {
    my ($room, $other) = (room($from), room($to));
    my $may = rules($room);
    return 1 if !$may || $room eq $other;
    return 0 if $to =~ /_private\.h$/;
    return scalar grep { $_ eq $other || $_ eq $to } @$may;
}

{
    my @bad;
    for my $file (grep { m{^(?:ngx_module|worker)/} } @c) {
        my @names = map { /^#include [<"]([^>"]+)[>"]/ } lines($file);
        for my $to (map { $own{$_} // () } @names) {
            push @bad, "$file includes $to" if !may_include($file, $to);
        }
    }
    ok(!@bad, 'includes point from a room to those below it')
        or diag join "\n", @bad;

    my %there = map { room($_) => 1 } @c;
    my @none = grep { !$there{$_} } sort keys %rooms;
    ok(!@none, 'all rooms of the table exist') or diag "@none";
}


# Sizes.  A file is read in one sitting: 700 lines, or its first comment has a
# paragraph that begins with "Its size:" and gives the reason.  A function is
# one screen, 80 lines between its braces, or most of it is one switch.

my @sized = grep { m{^ngx_module/} } @c;

all('no file above 700 lines without a reason', \@sized, sub ($f) {
    my @lines = lines($f);
    my ($top) = text($f) =~ m{^\n?(/\*.*?\*/)}s;
    return @lines <= 700 || $top =~ /^ \* Its size: \S/m;
});


# [name, first line, lines] of each function: a name at column 0 before its
# parameters, a body between braces at column 0

sub functions ($file) {
    my (@found, $name, $from, @body);
    my $n = 0;
    for my $line (lines($file)) {
        $n++;
        if ($line =~ /^(\w+)\(/) {
            $name = $1;
        } elsif ($line =~ /^\{/ && $name) {
            ($from, @body) = ($n);
        } elsif ($line =~ /^\}/ && $from) {
            push @found, [ $name, $from, @body ];
            ($name, $from) = ();
        } elsif ($from) {
            push @body, $line;
        }
    }
    return @found;
}


# the lines of the longest switch

sub longest_switch (@body) {
    my ($longest, $indent, $from) = (0);
    for my $i (0 .. $#body) {
        if (!defined $indent && $body[$i] =~ /^( +)switch \(/) {
            ($indent, $from) = ($1, $i);
        } elsif (defined $indent && $body[$i] =~ /^$indent\}/) {
            $longest = $i - $from if $i - $from > $longest;
            undef $indent;
        }
    }
    return $longest;
}

{
    my (@bad, $all);
    for my $file (grep { /\.c$/ } @sized) {
        for (functions($file)) {
            my ($name, $n, @body) = @$_;
            $all++;
            next if @body <= 80 || 2 * longest_switch(@body) > @body;
            push @bad, "$file:$n: $name has " . @body . ' lines';
        }
    }
    ok($all, 'functions are found');
    ok(!@bad, 'no function above 80 lines that is not a switch')
        or diag join "\n", @bad;
}


# Directives.  docs/directives.md has a heading with the name in it for each.

SKIP: {
    my $file = 'ngx_module/http/ngx_http_rt_module.c';
    skip 'no directives yet', 2 unless -f $file && -f 'docs/directives.md';

    my %documented = map { $_ => 1 }
        map { /^#+ .*?\b(realtime_\w+)/ ? $1 : () }
        lines('docs/directives.md');
    my @directives = map { /\{ ngx_string\("(realtime_\w+)"\),$/ ? $1 : () }
        lines($file);

    ok(@directives, 'directives are found');
    my @missing = grep { !$documented{$_} } @directives;
    ok(!@missing, 'each is in docs/directives.md') or diag "@missing";
}

done_testing();
