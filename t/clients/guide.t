#!/usr/bin/perl

# The pages of docs/guide.md in Chromium, with the configuration that the guide
# gives them: guide.test.mjs, which finds in RT_GUIDE where each port is.

use v5.36;

use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../lib";

use JSON::PP;
use RT;
use RT::Guide;
use RunNode;

RunNode::skip('no realtimed') if !-x RT::build_dir() . '/realtimed';
RunNode::skip('no nginx') if !-x RT::nginx();

my $guide = RT::Guide->new;
my $builder = Test::More->builder;

# the plan is Node's; what fails here is said there by a refused connection

$builder->no_ending(1);
$builder->output(\my $unsaid);
$guide->follow($_) for grep { @{ $_->{files} } } $guide->sections;

$ENV{RT_GUIDE} = JSON::PP->new->canonical->encode({
    dir => $guide->{dir}, pid => $guide->{nginx},
    map { $_ => $guide->port($_) } keys %{ $guide->{held} }
});

RunNode::run();
