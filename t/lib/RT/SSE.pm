package RT::SSE;

# An EventSource: blocks of lines, with their raw bytes for those who look
# closely, and the items that a browser would dispatch.

use v5.36;

use JSON::PP;
use MIME::Base64 ();

use parent 'RT::Conn';

my $json = JSON::PP->new->utf8;


sub start ($self, $uri, %o) {
    $uri .= ($uri =~ /\?/ ? '&' : '?') . 'envelope=1' if $o{envelope};
    $self->{raw} = $self->{text} = '';
    $self->{blocks} = [];
    $self->{comments} = [];
    $self->{retry} = undef;
    $self->request('GET', $uri,
                   [ Accept => 'text/event-stream', $self->id_headers(%o) ]);
}


sub on_body ($self, $r, $bytes) {
    return if $r->status != 200;
    $self->{raw} .= $bytes;
    $self->{text} .= $bytes;

    push @{ $self->{comments} }, $1 while $self->{text} =~ s/^:(.*)\n//m;

    # the position comes first, in a block that the first message ends

    if (!defined $self->{open_id}
        && $self->{text} =~ s/^retry: ?(\d+)\nid: ?(.*)\n//)
    {
        ($self->{retry}, $self->{open_id}) = ($1, $2);
        $self->{last_id} = $2;
    }

    # and the goodbye has none

    $self->{retry} = $1 if $self->{text} =~ /^retry: ?(\d+)\n\z/m;

    while ($self->{text} =~ s/^(.*?)\n\n//s) {
        $self->_block($1);
    }
}


sub _block ($self, $text) {
    my %b = (raw => "$text\n\n", data => undef);

    for my $line (split /\n/, $text, -1) {
        if ($line =~ /^:(.*)$/s) {
            push @{ $self->{comments} }, $1;
            next;
        }
        my ($name, $value) = $line =~ /^([^:]*)(?:: ?(.*))?$/s;
        $value //= '';
        if ($name eq 'data') {
            $b{data} = defined $b{data} ? "$b{data}\n$value" : $value;
        } elsif ($name eq 'id' || $name eq 'event') {
            $b{$name} = $value;
        } elsif ($name eq 'retry') {
            $b{retry} = $self->{retry} = $value;
        } elsif ($name ne '') {
            push @{ $self->{unknown} }, $line;
        }
    }

    push @{ $self->{blocks} }, \%b;
    if (defined $b{id}) {
        $self->{open_id} //= $b{id};
        $self->{last_id} = $b{id};
    }
    $self->_dispatch(\%b) if defined $b{data};
}


sub _dispatch ($self, $b) {
    my $event = $b->{event} // '';

    return if $event eq 'realtime:open';

    if ($event eq 'realtime:gap') {
        my $gap = eval { $json->decode($b->{data}) };
        $gap = $gap->{gap} if ref $gap eq 'HASH' && ref $gap->{gap};
        push @{ $self->{items} },
            { gap => $gap // $b->{data}, id => $b->{id}, raw => $b->{raw} };
        return;
    }

    if ($self->{opt}{envelope} || $self->{opt}{enveloped}) {
        my $id = $self->{last_id};
        $self->take_json(eval { $json->decode($b->{data}) } // $b->{data});
        $self->{last_id} = $id if defined $id;
        return;
    }

    my %item = (id => $b->{id}, data => $b->{data}, raw => $b->{raw});
    $item{event} = $b->{event} if defined $b->{event};
    if ($event eq 'realtime:binary') {
        $item{data} = MIME::Base64::decode($b->{data});
        $item{binary} = 1;
        delete $item{event};
    }
    push @{ $self->{items} }, \%item;
}


1;
