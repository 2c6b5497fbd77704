#!/usr/bin/env node
// Not dist/main.js itself: this file is there before the first build, so that an install can link it.
import '../dist/main.js';
