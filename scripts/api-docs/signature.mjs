import ts from 'typescript';

/** @typedef {ts.MethodDeclaration | ts.MethodSignature | ts.FunctionDeclaration | ts.FunctionTypeNode} Callable */

/** What is called: a method, or a property whose value is a function. @param {ts.Node} member @returns {Callable | undefined} */
export function callable(member) {
  if (ts.isMethodDeclaration(member) || ts.isMethodSignature(member)) return member;
  const property = ts.isPropertyDeclaration(member) || ts.isPropertySignature(member);
  const optional = property && member.questionToken !== undefined;
  return property && !optional && member.type && ts.isFunctionTypeNode(member.type) ? member.type : undefined;
}

/** @param {ts.Node} member */
export function overloaded(member) {
  return ts.isPropertySignature(member) && member.type && ts.isTypeQueryNode(member.type)
    ? member.type
    : undefined;
}

/** @param {ts.ClassElement | ts.TypeElement} member */
export function memberName(member) {
  const name = member.name?.getText() ?? '';
  return name.startsWith('[') ? name : `.${name}`;
}

/** @param {string} name @param {Callable | undefined} call */
export function heading(name, call) {
  const parameters = (call?.parameters ?? []).map(each =>
    each.dotDotDotToken
      ? `...${each.name.getText()}`
      : ts.isIdentifier(each.name)
        ? each.name.text
        : 'options',
  );
  return `${name}(${parameters.join(', ')})`;
}

/** As a method is written, whatever it is. @param {Callable} call */
export function signature(call) {
  const owner = ts.isFunctionTypeNode(call) ? call.parent : call;
  const name = 'name' in owner && owner.name ? /** @type {ts.Node} */ (owner.name).getText() : '';
  const types = call.typeParameters?.map(each => each.getText()).join(', ');
  const parameters = call.parameters.map(each => each.getText()).join(', ');
  return dedent(`${name}${types ? `<${types}>` : ''}(${parameters}): ${call.type?.getText()}`);
}

/** @param {ts.Node} node */
export function source(node) {
  return dedent(node.getText());
}

/** Declarations are indented by four; members in them once more. @param {string} text */
function dedent(text) {
  const [first = '', ...rest] = text.split('\n');
  const indents = rest.map(line => /^ */.exec(line)?.[0].length ?? 0);
  const least = Math.min(...indents);
  return [
    first,
    ...rest.map((line, i) => ' '.repeat(((indents[i] ?? 0) - least) / 2) + line.trimStart()),
  ].join('\n');
}

/** @param {string} text */
export function cell(text) {
  return text.replaceAll('|', '\\|');
}

/** @param {string} code */
export function block(code) {
  return `\`\`\`ts\n${code.trim()}\n\`\`\``;
}
