import {basename, dirname, join} from 'node:path';

/** Where a generation says why V8 gave up: nothing else tells that abort() from any other. */
export function fatalReport(folder: string, pid: number): string {
  return join(folder, `fatal-${pid}.json`);
}

/**
 * Has Node write a report when V8 fails. What the program has set itself stays as it is; then a heap that is full is told as SIGABRT, no
 * more.
 */
export function reportFatalErrors(folder: string): void {
  const report = process.report as NodeJS.ProcessReport & {compact: boolean; excludeNetwork: boolean};
  if (report.reportOnFatalError || report.directory !== '' || report.filename !== '') return;
  const file = fatalReport(folder, process.pid);
  report.directory = dirname(file);
  report.filename = basename(file);
  report.compact = true;
  report.excludeNetwork = true; // names of thousands of peers are not looked up while they wait
  report.reportOnFatalError = true;
}
