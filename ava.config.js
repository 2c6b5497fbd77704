import {RECORD_FD, recordRun} from './scripts/test-record.mjs';

const config = {
  files: ['packages/*/test/**/*.test.ts', 'scripts/test/**/*.test.ts', 'test/**/*.test.ts'],
  extensions: {ts: 'module'},
  nodeArguments: ['--import=tsx'],
  workerThreads: false,
  concurrency: 2,
  timeout: '10m',
};

const recorded = {...config, nonSemVerExperiments: {observeRunsFromConfig: true}, observeRun: recordRun};

export default RECORD_FD in process.env ? recorded : config;
