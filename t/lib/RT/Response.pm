package RT::Response;

# What came back: status, headers, body.

use v5.36;

use JSON::PP;

my $json = JSON::PP->new->utf8->allow_nonref;


sub new ($class, $status, $head, @lines) {
    my $self = bless {
        status => $status, head => $head, headers => {}, body => '',
    }, $class;

    for my $line (@lines) {
        my ($name, $value) = $line =~ /^([^:]+):\s*(.*?)\s*$/ or next;
        push @{ $self->{headers}{ lc $name } }, $value;
    }
    return $self;
}


# stands for no answer at all

sub none ($class) { return $class->new(0, '') }


sub status ($self) { return $self->{status} }


sub body ($self) { return $self->{body} }


sub header ($self, $name) {
    my $values = $self->{headers}{ lc $name } or return;
    return join ', ', @$values;
}


sub json ($self) {
    return eval { $json->decode($self->{body}) };
}


sub pid ($self) { return $self->header('X-Pid') }


# for diagnostics

sub show ($self) {
    return "no answer" if !$self->{status};
    return $self->{head} . substr $self->{body}, 0, 500;
}


1;
