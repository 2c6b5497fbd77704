import ts from 'typescript';

/**
 * @typedef {{text: string, params: {name: string, text: string}[], typeParams: {name: string, text: string}[],
 *   returns: string, throws: string, examples: string[], internal: boolean}} Comment
 */

/** The exports of a declaration file and what their comments say. */
export class Declarations {
  /** @type {string[]} */
  problems = [];
  /** @type {Map<string, ts.Symbol>} */
  exports = new Map();
  #checker;
  #folder;

  /** @param {string} entry @param {string} typeRoot */
  constructor(entry, typeRoot) {
    const program = ts.createProgram([entry], {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      strict: true,
      skipLibCheck: true,
      types: ['node'],
      typeRoots: [typeRoot],
    });
    this.#checker = program.getTypeChecker();
    this.#folder = entry.replace(/[^/]*$/, '');
    const file = program.getSourceFile(entry);
    const module = file && this.#checker.getSymbolAtLocation(file);
    if (module === undefined) throw new Error(`${entry} cannot be read; npm run setup compiles it.`);
    for (const each of ts.getPreEmitDiagnostics(program))
      this.problems.push(ts.flattenDiagnosticMessageText(each.messageText, ' '));
    for (const symbol of this.#checker.getExportsOfModule(module))
      this.exports.set(symbol.name, this.#resolve(symbol));
  }

  /** @param {ts.Symbol} symbol */
  #resolve(symbol) {
    return symbol.flags & ts.SymbolFlags.Alias ? this.#checker.getAliasedSymbol(symbol) : symbol;
  }

  /** @param {string} name */
  of(name) {
    return this.exports.get(name)?.declarations ?? [];
  }

  /** The declarations of a class or interface that a user sees: what it has from the class it extends is told there.
   * @param {ts.ClassDeclaration | ts.InterfaceDeclaration} node */
  members(node) {
    const told = new Set(
      this.#bases(node).flatMap(base => base.members.map(member => member.name?.getText())),
    );
    return [...node.members].filter(
      member =>
        !ts.isConstructorDeclaration(member) &&
        !(ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Private) &&
        !(member.name && ts.isPrivateIdentifier(member.name)) &&
        !told.has(member.name?.getText()) &&
        !comment(member).internal,
    );
  }

  /** @param {ts.ClassDeclaration | ts.InterfaceDeclaration} node @returns {ts.ClassDeclaration[]} */
  #bases(node) {
    return (node.heritageClauses ?? [])
      .flatMap(clause => [...clause.types])
      .map(type => this.#symbolAt(type.expression))
      .flatMap(symbol => symbol?.declarations ?? [])
      .filter(each => ts.isClassDeclaration(each))
      .filter(each => each.getSourceFile().fileName.startsWith(this.#folder))
      .flatMap(base => [base, ...this.#bases(base)]);
  }

  /** @param {ts.Node} node */
  #symbolAt(node) {
    const symbol = this.#checker.getSymbolAtLocation(node);
    return symbol && this.#resolve(symbol);
  }

  /** True for what makes a type of a schema. @param {ts.ClassDeclaration} node */
  isType(node) {
    return this.#bases(node).some(base => base.name?.text === 'Type');
  }

  /** The overloads behind `typeof name`. @param {ts.TypeQueryNode} node */
  overloads(node) {
    return (this.#symbolAt(node.exprName)?.declarations ?? []).filter(each => ts.isFunctionDeclaration(each));
  }

  /** The exports that a declaration names. What is neither exported nor another library's cannot be looked up by a reader.
   * @param {ts.Node} node */
  named(node) {
    /** @type {Set<string>} */
    const names = new Set();
    /** @param {ts.Node} each */
    const visit = each => {
      if (ts.isTypeReferenceNode(each) && ts.isIdentifier(each.typeName)) {
        const symbol = this.#symbolAt(each.typeName);
        const [declaration] = symbol?.declarations ?? [];
        const ours = declaration?.getSourceFile().fileName.startsWith(this.#folder);
        if (ours && declaration && !ts.isTypeParameterDeclaration(declaration)) {
          const {text} = each.typeName;
          if (this.exports.get(text) === symbol) names.add(text);
          else this.problems.push(`${text} is named by ${node.getText().slice(0, 60)} ..., but not exported`);
        }
      }
      ts.forEachChild(each, visit);
    };
    visit(node);
    return [...names];
  }
}

/** @param {ts.Node} node @returns {Comment} */
export function comment(node) {
  const holder = ts.isVariableDeclaration(node) ? node.parent.parent : node;
  /** @type {Comment} */
  const found = {
    text: '',
    params: [],
    typeParams: [],
    returns: '',
    throws: '',
    examples: [],
    internal: false,
  };
  for (const each of ts.getJSDocCommentsAndTags(holder)) {
    if (!ts.isJSDoc(each)) continue;
    found.text = textOf(each.comment);
    for (const tag of each.tags ?? []) {
      const text = textOf(tag.comment);
      const [, name = '', rest = ''] = /^(\S*)\s+-?\s*([\s\S]*)$/.exec(text) ?? [];
      if (ts.isJSDocParameterTag(tag))
        found.params.push({name: tag.name.getText(), text: text.replace(/^-\s*/, '')});
      else if (tag.tagName.text === 'typeParam') found.typeParams.push({name, text: rest});
      else if (ts.isJSDocReturnTag(tag)) found.returns = text;
      else if (ts.isJSDocThrowsTag(tag)) found.throws = text.replace(/^StoreError\s+/, '');
      else if (tag.tagName.text === 'example') found.examples.push(text);
      else if (tag.tagName.text === 'internal') found.internal = true;
      else throw new Error(`@${tag.tagName.text} means nothing here: ${node.getText().slice(0, 60)}`);
    }
  }
  return found;
}

/** @param {string | ts.NodeArray<ts.JSDocComment> | undefined} text */
function textOf(text) {
  return (ts.getTextOfJSDocComment(text) ?? '').trim();
}
