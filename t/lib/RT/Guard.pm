package RT::Guard;

# Should a test be killed, nobody would stop what it has started: a guard does,
# a process of its own that reads from a pipe of which only the test has the
# other end.
#
#     my $guard = RT::Guard->new(-$pid, $dir);    # a group, and its directory
#     $guard->leave;                              # the test has done it itself

use v5.36;

use POSIX ();


sub new ($class, $pid, $dir) {
    pipe my $in, my $out or die "pipe: $!";
    my $guard = fork // die "fork: $!";
    if ($guard == 0) {
        POSIX::setpgid(0, 0);
        open STDIN, '<&', $in;
        my $end = 'exit if defined getc; kill "KILL", $ARGV[0]; '
            . 'remove_tree($ARGV[1])';
        { exec $^X, '-MFile::Path=remove_tree', '-e', $end, '--', $pid, $dir }
        POSIX::_exit(127);
    }
    return bless { pid => $guard, pipe => $out }, $class;
}


sub leave ($self) {
    syswrite $self->{pipe}, 'x';
    waitpid $self->{pid}, 0;
}


1;
