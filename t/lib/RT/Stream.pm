package RT::Stream;

# A JSON message per line.

use v5.36;

use parent 'RT::Conn';


sub start ($self, $uri, %o) {
    $self->{text} = '';
    $self->{lines} = [];
    $self->request('GET', $uri,
                   [ Accept => 'application/x-ndjson', $self->id_headers(%o) ]);
}


sub on_body ($self, $r, $bytes) {
    return if $r->status != 200;
    $self->{text} .= $bytes;

    while ($self->{text} =~ s/^([^\n]*)\n//) {
        my $line = $1;
        next if $line eq '';
        push @{ $self->{lines} }, $line;
        $self->take_text($line);
    }
}


1;
