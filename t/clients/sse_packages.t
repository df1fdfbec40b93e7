#!/usr/bin/perl

# sse_packages.test.mjs, for prove.

use v5.36;

use FindBin;
use lib $FindBin::Bin;

use RunNode;

RunNode::run();
