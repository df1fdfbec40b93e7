package Bench::Report;

# Figures of all rounds become medians and ratios, JSON and a table.  A ratio
# is taken within each round, and the median of these is shown: rounds are
# minutes apart, and the machine is not the same then.

use v5.36;

use Exporter 'import';
use JSON::PP;

our @EXPORT = qw(median figure ratio verdict summary write_json write_table
                 merge_json markdown thousands against);


my %title = (
    deliveries_s       => 'deliveries/s',
    publishes_s        => 'messages/s',
    cpu_s_per_million  => 'CPU-s per million',
    cpu_us_per_publish => 'CPU-us per message',
    cpu                => 'CPU used, %',
    memory_each        => 'bytes each',
    connect_s          => 'connects/s',
    last_p50           => 'last reader p50, ms',
    last_p99           => 'p99',
    last_p999          => 'p99.9',
    delivery_p50       => 'delivery p50, ms',
    delivery_p99       => 'p99',
    delivery_p999      => 'p99.9',
    publish_p50        => 'publish p50, ms',
    publish_p99        => 'p99',
    publish_p999       => 'p99.9',
    processes_used     => 'processes used',
    least_share        => 'least share, %',
    reloads            => 'reloads',
    resumed            => 'resumed',
    resent             => 'sent again',
    readers            => 'connections',
    deliveries         => 'deliveries',
    reached_ms         => 'last reader has it after, ms',
    idle_message_p50   => 'message, idle: p50, ms',
    message_p50        => 'beside: p50',
    idle_message_p99   => 'idle: p99',
    message_p99        => 'beside: p99',
    idle_get_p50       => 'GET, idle: p50, ms',
    get_p50            => 'beside: p50',
    idle_get_p99       => 'idle: p99',
    get_p99            => 'beside: p99',
    idle_work_p50      => 'CPU before a GET, idle: p50, ms',
    work_p50           => 'beside: p50',
    idle_work_p99      => 'idle: p99',
    work_p99           => 'beside: p99',
);

my $json = JSON::PP->new->canonical->pretty;


sub median (@values) {
    @values = sort { $a <=> $b } grep { defined } @values or return undef;

    return @values % 2 ? $values[$#values / 2]
                       : ($values[@values / 2 - 1] + $values[@values / 2]) / 2;
}


# "last_p99" is {last}{p99}

sub _value ($run, $name) {
    return undef if !$run;
    return $run->{$name} if exists $run->{$name};

    my ($hist, $part) = $name =~ /^(.*)_(p\d+)$/ or return undef;
    return $run->{$hist} ? $run->{$hist}{$part} : undef;
}


sub figure ($result, $server, $name) {
    return median(map { scalar _value($_, $name) }
                  @{ $result->{runs}{$server} });
}


sub ratio ($result, $ours, $other, $name) {
    return median(_ratios_of($result, $ours, $other, $name));
}


# one for each round

sub _ratios_of ($result, $ours, $other, $name) {
    my ($a, $b) = @{ $result->{runs} }{$ours, $other};

    return () if !$a || !$b;

    return grep { defined } map {
        my ($x, $y) = (_value($a->[$_], $name), _value($b->[$_], $name));
        defined $x && $y ? $x / $y : undef;
    } 0 .. $#$a;
}


# what should not have happened, in all runs of a server

sub verdict ($runs) {
    my %sum;

    for my $run (@$runs) {
        $sum{$_} += $run->{$_} // 0
            for qw(lost doubled reordered strange disagree closed);
    }

    return join ', ', map { "$sum{$_} $_" } grep { $sum{$_} } sort keys %sum;
}


sub _format ($name, $value) {
    return '' if !defined $value;

    return sprintf '%.2f', $value / 1000 if $name =~ /_p\d+$/;
    return sprintf '%.2f', $value if $name =~ /^cpu_/;
    return sprintf '%.0f', $value * 100 if $name =~ /^(cpu|least_share)$/;

    return thousands($value);
}


sub thousands ($value) {
    my $text = reverse sprintf '%.0f', $value;
    $text =~ s/(\d{3})(?=\d)/$1,/g;

    return scalar reverse $text;
}


# "wave_ms 1,234": what this row has and others have not

sub _also ($result, $server) {
    return join ', ', map {
        my $value = figure($result, $server, $_) // 0;
        "$_ " . ($value < 1000 ? sprintf '%.4g', $value : thousands($value));
    } @{ $result->{also} };
}


sub _ratios ($result, $server) {
    return ('', '') if $server ne 'ours';

    my @report = @{ $result->{report} };
    my @names = (grep({ /_s$|^memory_each$/ } @report),
                 grep({ /^cpu/ } @report));

    return map {
        my $other = $_;
        join ' / ', map {
            my $r = ratio($result, 'ours', $other, $_);
            defined $r ? sprintf '%.2f', $r : ();
        } @names[0 .. ($#names > 1 ? 1 : $#names)];
    } qw(bare nchan);
}


# how long server and load had to wait for a core that somebody else used

sub _waited ($result, $server) {
    my @waited = map { figure($result, $server, $_) } qw(waited own_waited);

    return join ' / ', map { sprintf '%.0f', $_ * 100 }
                       grep { defined } @waited;
}


sub summary ($result) {
    my @report = @{ $result->{report} };
    my @also = $result->{also} ? 'also' : ();
    my @rows = (['', map({ $title{$_} } @report), @also, 'of bare',
                 'of nchan', 'waited, %', 'errors']);

    for my $server (@{ $result->{servers} }) {
        push @rows, [
            $result->{group} ? $result->{title}
                             : $Bench::Server::title{$server},
            map({ _format($_, figure($result, $server, $_)) } @report),
            map({ _also($result, $server) } @also),
            _ratios($result, $server),
            _waited($result, $server),
            verdict($result->{runs}{$server}) || 'none',
        ];
    }

    return @rows;
}


# Two builds of ours: medians of each, and of the ratios within the rounds, with
# the quartiles of these.  "worse": by more than 3 % in three rounds of four;
# "perhaps": the median only.  Only CPU time is judged, for on a machine that
# others use rates and latencies are theirs.

sub against ($result) {
    my @rows;

    for my $name (@{ $result->{report} }) {
        my @ratios = _ratios_of($result, 'ours', 'before', $name) or next;
        my ($low, $ratio, $high) = quartiles(@ratios);

        push @rows, [$result->{name}, $title{$name},
                     map({ _format($name, figure($result, $_, $name)) }
                         qw(before ours)),
                     sprintf('%.3f', $ratio),
                     sprintf('%.2f to %.2f', $low, $high),
                     $name !~ /^cpu|^memory/ ? '' : $low > 1.03 ? 'worse'
                     : $ratio > 1.03 ? 'perhaps' : ''];
    }

    return @rows;
}


sub quartiles (@values) {
    @values = sort { $a <=> $b } @values;

    return ($values[@values / 4], median(@values),
            $values[$#values - int(@values / 4)]);
}


# "make bench" and "make bench-worker" leave each other's figures alone

sub merge_json ($file, %parts) {
    my $old = {};

    if (open my $f, '<', $file) {
        local $/;
        $old = eval { $json->decode(<$f>) } // {};
    }

    open my $f, '>', $file or die "$file: $!\n";
    print $f $json->encode({ %$old, %parts });
    close $f or die "$file: $!\n";
}


sub write_json ($file, $results, %about) {
    merge_json($file,
        %about,
        scenarios => { map {
            my $r = $_;
            ($r->{name} => {
                title  => $r->{title},
                load   => $r->{load},
                runs   => $r->{runs},
                median => { map {
                    my $server = $_;
                    ($server => { map { ($_ => figure($r, $server, $_)) }
                                  @{ $r->{report} }, @{ $r->{also} // [] } })
                } @{ $r->{servers} } },
                ratio  => { map {
                    my $other = $_;
                    ($other => { map { ($_ => ratio($r, 'ours', $other, $_)) }
                                 @{ $r->{report} } })
                } grep { $_ ne 'ours' } @{ $r->{servers} } },
                $r->{note} ? (note => $r->{note}) : (),
            });
        } @$results });
}


sub markdown ($head, @rows) {
    my $left = grep { $_ eq '' || /x in flight$/ } @$head;

    return join '', map { "$_\n" }
           '| ' . join(' | ', @$head) . ' |',
           '|' . '---|' x $left . '--:|' x (@$head - $left),
           map { '| ' . join(' | ', @$_) . ' |' } @rows;
}


# a row for each server, or one table for a group of scenarios

sub _tables ($results) {
    my @tables;

    for my $result (@$results) {
        my $group = $result->{group} // '';
        my @rows = %{ $result->{runs} } ? summary($result) : ();

        if (@rows && $group && @tables && $tables[-1]{group} eq $group) {
            push @{ $tables[-1]{rows} }, $rows[1];
            next;
        }

        push @tables, {
            group => @rows ? $group : '',
            title => $group || "$result->{title}\n\n`$result->{name}`",
            note  => $result->{note} ? ": $result->{note}" : '',
            rows  => \@rows,
            right => scalar @{ $result->{report} },
            left  => $result->{also} ? 5 : 4,
        };
    }

    return @tables;
}


sub write_table ($file, $results, $about) {
    open my $f, '>', $file or die "$file: $!\n";

    print $f "$about\n";

    for my $table (_tables($results)) {
        my ($head, @rows) = @{ $table->{rows} };

        print $f "\n### $table->{title}$table->{note}\n";

        next if !$head;

        print $f "\n| @{[ join ' | ', @$head ]} |\n";
        print $f '|---|', '--:|' x $table->{right},
            '---|' x $table->{left}, "\n";
        print $f "| @{[ join ' | ', @$_ ]} |\n" for @rows;
    }

    close $f or die "$file: $!\n";
}


1;
