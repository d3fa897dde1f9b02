// A notebook that is opened while one of its cells runs shows what the cell has shown, and goes on with it. And the list of
// files is wide enough for the notebooks' names.
//
// This file is what a bundler makes of an extension, written by hand: a container of webpack's module federation, which takes
// JupyterLab's own modules from the scope that it shares. So nothing has to be built.
(() => {
  let shared;
  const load = async name => (await Object.values(shared[name])[0].get())();

  /** What a cell's output area takes for the request of its own page: the same messages, of a request that another one made. */
  class Followed {
    constructor(kernel, cell, request) {
      Object.assign(this, { kernel, cell, request });
      this.done = new Promise(resolve => { this.end = resolve; });
      // Empties the area, which may hold the start of the same outputs, and gives this its `onIOPub`.
      cell.outputArea.future = this;
      cell.model.trusted = true;
      cell.model.executionState = 'running';
      kernel.iopubMessage.connect(this.take, this);
      kernel.statusChanged.connect(this.check, this);
    }

    take(_, message) {
      if (message.parent_header.msg_id !== this.request.id) return;
      this.onIOPub(message);
      if (message.content.execution_state !== 'idle') return;
      this.cell.model.executionCount = this.request.count;
      this.finish();
    }

    check(_, status) {
      if (['restarting', 'autorestarting', 'terminating', 'dead'].includes(status)) this.finish();
    }

    finish() {
      this.cell.model.executionState = 'idle';
      this.dispose();
    }

    /** JupyterLab calls it when the cell is run again, or goes. */
    dispose() {
      this.kernel.iopubMessage.disconnect(this.take, this);
      this.kernel.statusChanged.disconnect(this.check, this);
      this.end();
    }
  }

  /** Asks the server which cells of this notebook run for a page that has gone, and follows them from now on. */
  async function takeOver(panel, { ServerConnection, URLExt }) {
    await Promise.all([panel.context.ready, panel.sessionContext.ready]);
    const kernel = panel.sessionContext.session?.kernel;
    if (!kernel) return;
    const meanwhile = [];
    const note = (_, message) => { meanwhile.push(message); };
    kernel.iopubMessage.connect(note);
    const settings = kernel.serverSettings;
    const answer = await ServerConnection.makeRequest(
      URLExt.join(settings.baseUrl, 'keep_outputs', kernel.id),
      { method: 'POST', body: JSON.stringify({ page: kernel.clientId }) },
      settings
    );
    const requests = answer.ok ? await answer.json() : [];
    kernel.iopubMessage.disconnect(note);
    if (requests.some(request => request.saved) && !panel.context.model.dirty) await panel.context.revert();
    for (const request of requests.filter(request => !request.saved)) {
      const cell = panel.content.widgets.find(cell => cell.model.id === request.cell);
      if (!cell?.outputArea) continue;
      const followed = new Followed(kernel, cell, request);
      // What has come since the server answered is behind the last message that it has seen.
      const seen = meanwhile.findIndex(message => message.header.msg_id === request.last);
      for (const message of [...request.messages, ...meanwhile.slice(seen + 1)]) followed.take(kernel, message);
    }
  }

  /** JupyterLab takes `data:` for the beginning of an address, also in a path of Rust such as `helpers::data::Dataset`. */
  function keepPathsAsText() {
    new MutationObserver(changes => {
      if (!changes.some(change => change.addedNodes.length)) return;
      for (const link of document.querySelectorAll('.jp-RenderedText a[href^="data::"]')) link.replaceWith(...link.childNodes);
    }).observe(document.body, { childList: true, subtree: true });
  }

  async function plugin() {
    const { INotebookTracker } = await load('@jupyterlab/notebook');
    const tools = { ...(await load('@jupyterlab/services')), ...(await load('@jupyterlab/coreutils')) };
    return {
      id: 'keep_outputs:plugin',
      description: 'Goes on with the outputs of a cell that another page has run; leaves paths of Rust as text.',
      autoStart: true,
      requires: [INotebookTracker],
      activate: (_, notebooks) => {
        const follow = panel => takeOver(panel, tools).catch(error => console.warn('keep_outputs:', error));
        keepPathsAsText();
        notebooks.forEach(follow);
        notebooks.widgetAdded.connect((_, panel) => { follow(panel); });
      }
    };
  }

  // No setting has that width; the style is there before JupyterLab first measures the list.
  const style = document.createElement('style');
  style.textContent = '#jp-left-stack > #filebrowser { min-width: 300px; }';
  document.head.append(style);

  window._JUPYTERLAB = window._JUPYTERLAB ?? {};
  window._JUPYTERLAB.keep_outputs = {
    init: scope => { shared = scope; },
    get: async () => {
      const extension = { __esModule: true, default: await plugin() };
      return () => extension;
    }
  };
})();
